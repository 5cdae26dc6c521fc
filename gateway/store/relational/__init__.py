"""What every store in a relational database has in common: the jobs that write and the questions that read, in SQL
that each database takes, and the threads that run them.

Here belongs what needs a `Connection` and no more. What a database does in its own way is in its `Dialect`, or in
its folder beside this one; no driver is named here.
"""

"""APIs: one package per dialect, which translates between HTTP and our services.

APIs hold no rules and do not know each other, so that one can be deleted as a folder.
"""

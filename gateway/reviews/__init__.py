"""Reviews: a queue of requests for several people, and how far their scores agree."""

"""The upstream client against raw TCP servers that play a script, on asyncio's own loop and on uvloop."""

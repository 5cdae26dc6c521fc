"""Tests of the measuring tools; what they measure is not tested here."""

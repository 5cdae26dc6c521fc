"""The newest client libraries in front of a real gateway. `make clients` runs what `make test` has no use for."""

import pytest

# What is asserted there says what was found, as in a test.
pytest.register_assert_rewrite("tests.clients.contract")

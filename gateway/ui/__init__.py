"""Web pages: the feedback form behind a link with a feedback token."""

"""Pages for people: a form on which whoever was sent a feedback token says how an answer was.

Plain HTML that works without JavaScript. Paths and what they do are in `face.py`, what a form may send in
`form.py`, what is shown in `pages.py` and `templates`. Called by the composition root alone.
"""

from gateway.ui.feedback_form import feedback_form_api

__all__ = ["feedback_form_api"]

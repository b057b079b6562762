"""A page and a JSON API over one FaceSearch: routes only. It needs the extra `serve`, and nothing else imports it."""

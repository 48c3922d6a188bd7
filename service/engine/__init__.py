"""The composition root: it loads and connects the models, and turns a request into a report."""

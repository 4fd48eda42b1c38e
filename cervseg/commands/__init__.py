"""The verbs: a config in, a report out, nothing printed."""

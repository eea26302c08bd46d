"""The way of a ref: resolved, checked, queued, delivered, registered, and compared afterwards."""

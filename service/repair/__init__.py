"""Plan, redraw, blend, verify: the closed loop on pixels."""

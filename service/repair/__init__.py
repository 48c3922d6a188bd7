"""The closed loop on pixels: plan, redraw, blend, verify."""

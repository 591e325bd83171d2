"""The radio side: what runs under GNU Radio's own Python, with NumPy alone."""

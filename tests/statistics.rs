//! Intervals, tests and corrections against SciPy and statsmodels.

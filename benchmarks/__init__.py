"""Benchmarks: what being observed costs, as ratios to something else measured in the same run."""

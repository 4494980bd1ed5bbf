"""What ``otel-callbacks doctor`` finds out: versions, settings and where they come from, what a run would say, whether it arrives."""

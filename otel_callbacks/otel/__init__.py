"""Where OpenTelemetry begins: the sinks that turn the core's effects into spans."""

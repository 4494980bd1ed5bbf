"""The part of otel-callbacks that knows neither OpenTelemetry nor LangChain: callbacks in, effects out."""

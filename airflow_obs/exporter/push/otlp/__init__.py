"""The snapshot as OTLP: made of OpenTelemetry's own data classes, kept while nobody takes it, sent over HTTP or gRPC."""

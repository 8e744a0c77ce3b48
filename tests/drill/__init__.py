"""The drill: every fault of the demo before a real Prometheus with the generated rules (make drill)."""

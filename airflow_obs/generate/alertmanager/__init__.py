"""The policy as Alertmanager takes it: routes, receivers, messages, times, inhibition."""

"""What is wrong with Prometheus rules, as far as the catalogue and the rule itself tell."""

from airflow_obs.generate.lint.check import Terms, findings
from airflow_obs.generate.lint.finding import CHECKS, Finding, Placed
from airflow_obs.generate.lint.rule_file import placed

__all__ = ["CHECKS", "Finding", "Placed", "Terms", "findings", "placed"]

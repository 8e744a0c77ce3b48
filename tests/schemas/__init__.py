"""The DDL real releases of Airflow made, and the script that makes it again."""

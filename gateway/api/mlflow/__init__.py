"""MLflow's API: assessments of traces under `/mlflow`."""

"""Teachers of LightGBM, XGBoost and CatBoost (make test-teachers installs them)."""

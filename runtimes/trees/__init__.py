"""Decision trees in the safe formats of their own libraries: LightGBM, XGBoost and CatBoost."""

"""How good predictions are: accuracy, AUC, calibration, and their intervals by case."""

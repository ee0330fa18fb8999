"""The integer arithmetic of INT8 models, exact: what every rendering must compute."""

"""From a predictor of tiles to masks of whole images; knows neither Keras nor engines."""

"""The parsing service: a Flask application on top of `m2fp_kd.runtime`, served by waitress."""

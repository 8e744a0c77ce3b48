"""Tests of the exporter room: running collectors, the board, the page, the server and the command."""

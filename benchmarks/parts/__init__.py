"""What benchmarks start or share beside stage.py; nothing here measures by itself."""

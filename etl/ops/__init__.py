"""Operations: health, metrics and alerts."""

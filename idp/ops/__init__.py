"""Operations: health, readiness and housekeeping. Owns nothing about people or protocol."""

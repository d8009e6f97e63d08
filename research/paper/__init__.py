"""The paper reproduced on what is here."""

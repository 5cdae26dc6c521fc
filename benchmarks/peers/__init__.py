"""Others that can stand where the gateway stands, one module each. None of them keeps anything of a call."""

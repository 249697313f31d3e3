package provisioner

// DeclarationInvalid refuses an object of a tenant file. kind is "directory",
// "tenant", "licence pool" or "gateway"; warum and why are one clause, in German
// and in English.
func DeclarationInvalid(kind, name, warum, why string) *Refusal {
	art := map[string]string{
		"directory": "Verzeichnis", "tenant": "Verwaltung", "licence pool": "Lizenzpool", "gateway": "Zugangsserver",
	}[kind]
	benannt, named := name, name
	if name == "" {
		benannt, named = "(ohne Namen)", "(unnamed)"
	}
	return Refuse(CodeDeclarationInvalid).With("object", art+" "+benannt, kind+" "+named).With("why", warum, why)
}

"""Values as the API server's types understand them: schema, scalar types, defaults, FieldsV1."""

"""What the commands of `rufkette` do, beside those that start services."""

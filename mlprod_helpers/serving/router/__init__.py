"""The router in front of the services: one immutable plan, swapped whole, sticky for each user."""

"""What every connector to Microsoft Graph shares: its credentials, its paging, its notifications and subscriptions."""

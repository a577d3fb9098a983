"""The console: pages about the products and their KPIs, made here and read on this machine."""

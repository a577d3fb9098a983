"""An optional bus between gateway and landing: Kafka or Redpanda, spoken to in CloudEvents."""

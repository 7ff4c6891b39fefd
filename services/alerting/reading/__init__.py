"""From Kafka to the engine: who reads which partition, what cannot be read, what came before."""

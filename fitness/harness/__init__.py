"""What runs beside the genome, inside its own process: nothing here is trusted by the evaluator."""

"""What ppo, grpo and rloo share: answers of the model in training, and what they are worth."""

"""What is known of GPU models and vGPU profiles, from NVIDIA's tables and vCenter.

gpu_models       the table of GPU models with their profiles
mig_geometry     where GPU instances may start on a MIG GPU
profiles         profiles and GPU models by the names that hosts print
"""

from __future__ import annotations

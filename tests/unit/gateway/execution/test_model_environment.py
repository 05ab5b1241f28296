"""What processes of models get of the gateway's environment."""

from gateway.execution.model_environment import blanked, passed_on

ENVIRONMENT = {
    "PATH": "/bin",
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "0",
    "POINTSMAN_STORE": "redis://:secret@store",
    "REDIS_URL": "redis://:secret@store",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=secret",
    "RAY_AUTH_TOKEN_PATH": "/home/token",
}


def test_a_model_gets_paths_languages_threads_and_accelerators_and_no_password():
    assert passed_on(ENVIRONMENT).keys() == {"PATH", "LC_ALL", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"}


def test_everything_else_is_blanked_but_what_ray_needs():
    names = ["POINTSMAN_STORE", "REDIS_URL", "AWS_SECRET_ACCESS_KEY", "OTEL_EXPORTER_OTLP_HEADERS"]
    assert blanked(ENVIRONMENT, kept="RAY_") == dict.fromkeys(names, "")

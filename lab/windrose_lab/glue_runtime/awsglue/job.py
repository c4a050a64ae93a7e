"""`Job.init` and `Job.commit`: bookmarks are not kept, the calls are only accepted."""


class Job:
    def __init__(self, glue_context=None):
        self.job_name = None

    def init(self, job_name, args=None):
        self.job_name = job_name

    def commit(self):
        if self.job_name is None:
            raise RuntimeError("Call Job.init before Job.commit.")

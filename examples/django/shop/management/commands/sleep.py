import time

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Takes its time, to show how a job is stopped"

    def handle(self, **options):
        self.stdout.write("sleeping")
        self.stdout.flush()
        time.sleep(600)

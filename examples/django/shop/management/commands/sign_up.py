from django.core.management.base import BaseCommand
from shop.models import sign_up


class Command(BaseCommand):
    help = "Signs somebody up, as a view would; with --fail the view raises after it has enqueued"

    def add_arguments(self, parser):
        parser.add_argument("email")
        parser.add_argument("--fail", action="store_true")

    def handle(self, email, fail, **options):
        def then():
            if fail:
                raise RuntimeError("the view failed after it had enqueued")

        sign_up(email, then)

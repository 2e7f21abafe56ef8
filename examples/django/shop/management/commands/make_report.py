from django.core.management.base import BaseCommand
from shop.models import Customer, Report


class Command(BaseCommand):
    help = "Counts the customers"

    def add_arguments(self, parser):
        parser.add_argument("kind", choices=["minute", "daily", "nightly", "monthly"])

    def handle(self, kind, **options):
        report = Report.objects.create(kind=kind, customers=Customer.objects.count())
        self.stdout.write(f"{kind} report {report.pk}: {report.customers} customers")
